output "name" {
  description = "The cluster's name, for `aws eks update-kubeconfig`."
  value       = aws_eks_cluster.this.name
}

output "endpoint" {
  description = "The address of the API."
  value       = aws_eks_cluster.this.endpoint
}

output "certificate_authority" {
  description = "What the API's certificate is signed with, in base64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "security_group_id" {
  description = "The group of the machines, which the stores let in."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}
