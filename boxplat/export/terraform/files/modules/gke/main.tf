# A cluster with a pool of CPUs, and one of GPUs that is empty until a pod asks for one.

locals {
  # Some names may have no more than 28 characters.
  short = trimsuffix(substr(var.name, 0, 20), "-")
}

resource "google_service_account" "node" {
  account_id   = "${local.short}-node"
  display_name = "Machines of the cluster ${var.name}"
}

resource "google_project_iam_member" "node" {
  for_each = toset(["roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader"])
  project  = google_service_account.node.project
  role     = each.key
  member   = google_service_account.node.member
}

resource "google_container_cluster" "this" {
  name                     = var.name
  location                 = var.location
  network                  = var.network
  subnetwork               = var.subnetwork
  initial_node_count       = 1
  remove_default_node_pool = true
  deletion_protection      = var.deletion_protection
  # It enforces network policies.
  datapath_provider = "ADVANCED_DATAPATH"

  ip_allocation_policy {}

  private_cluster_config {
    enable_private_nodes = true
  }

  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.master_authorized_networks

      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  addons_config {
    gcp_filestore_csi_driver_config {
      enabled = true
    }
  }

  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  release_channel {
    channel = "REGULAR"
  }
}

resource "google_container_node_pool" "cpu" {
  name     = "cpu"
  cluster  = google_container_cluster.this.id
  location = var.location

  autoscaling {
    total_min_node_count = var.cpu_min
    total_max_node_count = var.cpu_max
  }

  node_config {
    machine_type    = var.cpu_machine_type
    disk_size_gb    = var.disk_gib
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = { "boxplat/pool" = "cpu" }

    shielded_instance_config {
      enable_secure_boot = true
    }
  }
}

resource "google_container_node_pool" "gpu" {
  count    = var.gpu_machine_type == "" ? 0 : 1
  name     = "gpu"
  cluster  = google_container_cluster.this.id
  location = var.location

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = var.gpu_max
  }

  node_config {
    machine_type    = var.gpu_machine_type
    disk_size_gb    = var.disk_gib
    spot            = var.gpu_spot
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = { "boxplat/pool" = "gpu" }

    guest_accelerator {
      type  = var.gpu_type
      count = 1

      gpu_driver_installation_config {
        gpu_driver_version = "DEFAULT"
      }
    }

    taint {
      key    = "nvidia.com/gpu"
      value  = "present"
      effect = "NO_SCHEDULE"
    }
  }
}
