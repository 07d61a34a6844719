terraform {
  required_version = ">= 1.6"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.20"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 2.35"
    }
  }
}

provider "google" {
  project = var.google_project
  region  = var.region

  default_labels = { project = var.project, managed-by = "boxplat" }
}

data "google_client_config" "this" {}

provider "kubernetes" {
  host                   = "https://${module.gke.endpoint}"
  cluster_ca_certificate = base64decode(module.gke.certificate_authority)
  token                  = data.google_client_config.this.access_token
}
