# The namespace and the Secrets that the exported manifests refer to and do not hold.

locals {
  labels = {
    "app.kubernetes.io/part-of"    = var.project
    "app.kubernetes.io/managed-by" = "boxplat"
  }
  restricted = { for mode in ["enforce", "audit", "warn"] : "pod-security.kubernetes.io/${mode}" => "restricted" }
}

resource "kubernetes_namespace_v1" "project" {
  metadata {
    name   = var.namespace
    labels = merge(local.labels, local.restricted)
  }

  lifecycle {
    # The manifests are applied to the same object, and know more labels.
    ignore_changes = [metadata[0].labels, metadata[0].annotations]
  }
}

resource "random_password" "tracking" {
  for_each = toset(["admin", "user", "session"])
  length   = 32
  special  = false
}

resource "kubernetes_secret_v1" "storage" {
  metadata {
    name      = "storage"
    namespace = kubernetes_namespace_v1.project.metadata[0].name
    labels    = local.labels
  }
  data = {
    AWS_ACCESS_KEY_ID     = var.storage_access_key
    AWS_SECRET_ACCESS_KEY = var.storage_secret_key
  }
}

resource "kubernetes_secret_v1" "database" {
  metadata {
    name      = "database"
    namespace = kubernetes_namespace_v1.project.metadata[0].name
    labels    = local.labels
  }
  data = {
    tracking-url = var.tracking_database_url
    registry-url = var.registry_database_url
  }
}

resource "kubernetes_secret_v1" "online_store" {
  metadata {
    name      = "online-store"
    namespace = kubernetes_namespace_v1.project.metadata[0].name
    labels    = local.labels
  }
  data = {
    connection = var.online_store
  }
}

resource "kubernetes_secret_v1" "tracking_auth" {
  metadata {
    name      = "tracking-auth"
    namespace = kubernetes_namespace_v1.project.metadata[0].name
    labels    = local.labels
  }
  data = {
    admin-username = "admin"
    admin-password = random_password.tracking["admin"].result
    secret-key     = random_password.tracking["session"].result
  }
}

resource "kubernetes_secret_v1" "tracking_user" {
  metadata {
    name      = "tracking-user"
    namespace = kubernetes_namespace_v1.project.metadata[0].name
    labels    = local.labels
  }
  data = {
    username = "box"
    password = random_password.tracking["user"].result
  }
}
