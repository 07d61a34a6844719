"""Plug-ins for compiling a flow for Argo with no network, on the path only while `boxplat.export.compile` runs."""

# The later entry of a name wins, so these replace Metaflow's own store and decorators of the same names.
DATASTORES_DESC = [("s3", ".offline_store.OfflineS3Storage")]
STEP_DECORATORS_DESC = [
    ("resources", ".declared_resources.DeclaredResources"),
    ("kubernetes", ".declared_resources.DeclaredKubernetes"),
]
