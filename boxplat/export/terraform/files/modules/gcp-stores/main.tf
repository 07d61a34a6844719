# Bucket, registry, PostgreSQL and Redis.

locals {
  # Some names may have no more than 28 characters.
  short = trimsuffix(substr(var.name, 0, 20), "-")
}

resource "google_storage_bucket" "this" {
  name                        = var.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
}

resource "google_service_account" "storage" {
  account_id   = "${local.short}-storage"
  display_name = "Pods of ${var.name} at the bucket"
}

resource "google_storage_bucket_iam_member" "storage" {
  bucket = google_storage_bucket.this.name
  role   = "roles/storage.objectUser"
  member = google_service_account.storage.member
}

# A key for the S3-compatible interface.
resource "google_storage_hmac_key" "storage" {
  service_account_email = google_service_account.storage.email
}

resource "google_artifact_registry_repository" "this" {
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"

  docker_config {
    immutable_tags = true
  }
}

resource "random_password" "database" {
  length  = 40
  special = false
}

resource "google_sql_database_instance" "this" {
  name                = "${var.name}-db"
  region              = var.region
  database_version    = "POSTGRES_16"
  deletion_protection = var.deletion_protection

  settings {
    edition         = "ENTERPRISE"
    tier            = var.database_tier
    disk_size       = var.database_gib
    disk_autoresize = true

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
    }

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network_id
      ssl_mode        = "ENCRYPTED_ONLY"
    }
  }
}

resource "google_sql_database" "mlflow" {
  name     = "mlflow"
  instance = google_sql_database_instance.this.name
}

resource "google_sql_user" "box" {
  name     = "box"
  instance = google_sql_database_instance.this.name
  password = random_password.database.result
}

resource "google_redis_instance" "this" {
  name               = "${local.short}-online"
  region             = var.region
  memory_size_gb     = var.redis_gib
  redis_version      = "REDIS_7_2"
  authorized_network = var.network_id
  connect_mode       = "PRIVATE_SERVICE_ACCESS"
  auth_enabled       = true
}
