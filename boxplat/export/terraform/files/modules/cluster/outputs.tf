output "namespace" {
  description = "Where the export goes."
  value       = kubernetes_namespace_v1.project.metadata[0].name
}
