"""The Open Inference Protocol v2 (KServe, Triton, MLServer) for every API of a BentoML service, over REST and gRPC.

The same service object, batcher and schema as the plain paths. Nothing here is imported before it is asked for.
"""
