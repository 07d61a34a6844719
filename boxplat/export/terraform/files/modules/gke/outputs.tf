output "name" {
  description = "The cluster's name, for `gcloud container clusters get-credentials`."
  value       = google_container_cluster.this.name
}

output "endpoint" {
  description = "The address of the API."
  value       = google_container_cluster.this.endpoint
}

output "certificate_authority" {
  description = "What the API's certificate is signed with, in base64."
  value       = google_container_cluster.this.master_auth[0].cluster_ca_certificate
}
