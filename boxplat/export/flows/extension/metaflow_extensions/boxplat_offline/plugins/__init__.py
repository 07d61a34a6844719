"""Plug-ins for compiling a flow for Argo with no network; on the path only in `export.flows.compile`."""

# The later entry of a name wins, so these replace Metaflow's own store, client and decorators of the same names.
DATASTORES_DESC = [("s3", ".offline_store.OfflineS3Storage")]
DATACLIENTS_DESC = [("s3", ".offline_client.OfflineS3Client")]
STEP_DECORATORS_DESC = [
    ("resources", ".declared_resources.DeclaredResources"),
    ("kubernetes", ".declared_resources.DeclaredKubernetes"),
]
