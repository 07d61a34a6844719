# A cluster, database, Redis and bucket that you have already: the namespace and its Secrets.

module "cluster" {
  source                = "../modules/cluster"
  project               = var.project
  namespace             = var.namespace
  tracking_database_url = var.tracking_database_url
  registry_database_url = var.registry_database_url
  online_store          = var.online_store
  storage_access_key    = var.storage_access_key
  storage_secret_key    = var.storage_secret_key
}
