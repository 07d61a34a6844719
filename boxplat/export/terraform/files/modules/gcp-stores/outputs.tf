output "storage" {
  description = "For [export] storage in boxplat.toml."
  value       = "s3://${google_storage_bucket.this.name}"
}

output "registry" {
  description = "For [export] registry in boxplat.toml."
  value       = google_artifact_registry_repository.this.registry_uri
}

output "database_url" {
  description = "SQLAlchemy's URL; MLflow's and Feast's tables have different names."
  value       = "postgresql://box:${random_password.database.result}@${google_sql_database_instance.this.private_ip_address}:5432/${google_sql_database.mlflow.name}?sslmode=require"
  sensitive   = true
}

output "online_store" {
  description = "Feast's connection string."
  value       = "${google_redis_instance.this.host}:${google_redis_instance.this.port},password=${google_redis_instance.this.auth_string}"
  sensitive   = true
}

output "storage_access_key" {
  description = "The key by which pods reach the bucket."
  value       = google_storage_hmac_key.storage.access_id
  sensitive   = true
}

output "storage_secret_key" {
  description = "The secret of that key."
  value       = google_storage_hmac_key.storage.secret
  sensitive   = true
}
