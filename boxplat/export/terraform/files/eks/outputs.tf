output "kubeconfig" {
  description = "How to reach the cluster."
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${module.eks.name}"
}

output "storage" {
  description = "For [export] storage in boxplat.toml."
  value       = module.stores.storage
}

output "registry" {
  description = "For [export] registry in boxplat.toml."
  value       = module.stores.registry
}
