# A cluster on AWS with its stores, and the namespace with its Secrets in it.

module "eks" {
  source              = "../modules/eks"
  name                = var.project
  kubernetes_version  = var.kubernetes_version
  subnet_ids          = var.subnet_ids
  public_access_cidrs = var.public_access_cidrs
  cpu_instance_types  = var.cpu_instance_types
  cpu_min             = var.cpu_min
  cpu_max             = var.cpu_max
  gpu_instance_types  = var.gpu_instance_types
  gpu_max             = var.gpu_max
  gpu_spot            = var.gpu_spot
  disk_gib            = var.disk_gib
}

module "stores" {
  source                   = "../modules/aws-stores"
  name                     = var.project
  bucket                   = var.bucket
  components               = var.components
  vpc_id                   = var.vpc_id
  subnet_ids               = var.subnet_ids
  client_security_group_id = module.eks.security_group_id
  database_instance_class  = var.database_instance_class
  database_gib             = var.database_gib
  redis_node_type          = var.redis_node_type
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
  storage_provisioner = "efs.csi.aws.com"
  reclaim_policy      = "Retain"
  parameters = {
    provisioningMode = "efs-ap"
    fileSystemId     = module.stores.file_system_id
    directoryPerms   = "700"
    uid              = "1000"
    gid              = "1000"
  }
}
