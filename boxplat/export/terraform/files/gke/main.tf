# A cluster on Google Cloud with its stores, and the namespace with its Secrets in it.

data "google_compute_network" "this" {
  name = var.network
}

module "gke" {
  source                     = "../modules/gke"
  name                       = var.project
  location                   = var.location
  network                    = var.network
  subnetwork                 = var.subnetwork
  master_authorized_networks = var.master_authorized_networks
  cpu_machine_type           = var.cpu_machine_type
  cpu_min                    = var.cpu_min
  cpu_max                    = var.cpu_max
  gpu_machine_type           = var.gpu_machine_type
  gpu_type                   = var.gpu_type
  gpu_max                    = var.gpu_max
  gpu_spot                   = var.gpu_spot
  disk_gib                   = var.disk_gib
}

module "stores" {
  source        = "../modules/gcp-stores"
  name          = var.project
  region        = var.region
  network_id    = data.google_compute_network.this.id
  bucket        = var.bucket
  database_tier = var.database_tier
  database_gib  = var.database_gib
  redis_gib     = var.redis_gib
}

module "cluster" {
  source                = "../modules/cluster"
  project               = var.project
  namespace             = var.namespace
  tracking_database_url = module.stores.database_url
  registry_database_url = module.stores.database_url
  online_store          = module.stores.online_store
  storage_access_key    = module.stores.storage_access_key
  storage_secret_key    = module.stores.storage_secret_key
}

# [export] data_class = "shared" in boxplat.toml.
resource "kubernetes_storage_class_v1" "shared" {
  metadata {
    name = "shared"
  }
  storage_provisioner = "filestore.csi.storage.gke.io"
  reclaim_policy      = "Retain"
  parameters = {
    tier    = "standard"
    network = var.network
  }
}
