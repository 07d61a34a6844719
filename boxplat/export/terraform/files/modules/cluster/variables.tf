variable "namespace" {
  description = "The namespace of the export."
  type        = string
}

variable "project" {
  description = "The project's name, a label of everything."
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
  description = "Feast's connection string of Redis: host:port, then options such as ssl=true or password=…, with commas."
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
