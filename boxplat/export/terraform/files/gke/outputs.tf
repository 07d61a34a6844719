output "kubeconfig" {
  description = "How to reach the cluster."
  value       = "gcloud container clusters get-credentials ${module.gke.name} --location ${var.location} --project ${var.google_project}"
}

output "storage" {
  description = "For [export] storage in boxplat.toml; storage_endpoint is that of Google's S3-compatible interface."
  value       = module.stores.storage
}

output "registry" {
  description = "For [export] registry in boxplat.toml."
  value       = module.stores.registry
}
