variable "kubeconfig" {
  description = "The file with the cluster's address and your rights."
  type        = string
  default     = "~/.kube/config"
}

variable "context" {
  description = "The context of that file to use."
  type        = string
}

variable "project" {
  description = "The project's name."
  type        = string
}

variable "namespace" {
  description = "The namespace of the export."
  type        = string
}

variable "tracking_database_url" {
  description = "SQLAlchemy's URL of MLflow's database, postgresql://…"
  type        = string
  sensitive   = true
}

variable "registry_database_url" {
  description = "SQLAlchemy's URL of Feast's registry, postgresql://…"
  type        = string
  sensitive   = true
}

variable "online_store" {
  description = "Feast's connection string of Redis."
  type        = string
  sensitive   = true
}

variable "storage_access_key" {
  description = "The key by which pods reach the bucket."
  type        = string
  sensitive   = true
}

variable "storage_secret_key" {
  description = "The secret of that key."
  type        = string
  sensitive   = true
}
