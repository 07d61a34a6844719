output "storage" {
  description = "For [export] storage in boxplat.toml."
  value       = "s3://${aws_s3_bucket.this.bucket}"
}

output "registry" {
  description = "For [export] registry in boxplat.toml."
  value       = split("/", values(aws_ecr_repository.this)[0].repository_url)[0]
}

output "database_url" {
  description = "SQLAlchemy's URL; MLflow's and Feast's tables have different names."
  value       = "postgresql://box:${random_password.database.result}@${aws_db_instance.this.endpoint}/mlflow?sslmode=require"
  sensitive   = true
}

output "online_store" {
  description = "Feast's connection string."
  value       = "${aws_elasticache_replication_group.this.primary_endpoint_address}:6379,ssl=true,password=${random_password.redis.result}"
  sensitive   = true
}

output "storage_access_key" {
  description = "The key by which pods reach the bucket."
  value       = aws_iam_access_key.storage.id
  sensitive   = true
}

output "storage_secret_key" {
  description = "The secret of that key."
  value       = aws_iam_access_key.storage.secret
  sensitive   = true
}

output "file_system_id" {
  description = "The file system of volumes that many pods write to."
  value       = aws_efs_file_system.this.id
}
