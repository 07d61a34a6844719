# Bucket, registry, PostgreSQL, Redis, and the file system of volumes that many pods write to.

locals {
  # Some names may have no more than 28 characters.
  short = trimsuffix(substr(var.name, 0, 20), "-")
}

resource "aws_s3_bucket" "this" {
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
    bucket_key_enabled = true
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_iam_user" "storage" {
  name = "${var.name}-storage"
}

resource "aws_iam_access_key" "storage" {
  user = aws_iam_user.storage.name
}

resource "aws_iam_user_policy" "storage" {
  name = "bucket"
  user = aws_iam_user.storage.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
        Resource = aws_s3_bucket.this.arn
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = "${aws_s3_bucket.this.arn}/*"
      },
    ]
  })
}

resource "aws_ecr_repository" "this" {
  for_each             = toset(var.components)
  name                 = "boxplat/${var.name}-${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_security_group" "stores" {
  name_prefix = "${local.short}-stores-"
  description = "PostgreSQL, Redis and files, for the cluster only."
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "stores" {
  for_each                     = { postgresql = 5432, redis = 6379, nfs = 2049 }
  description                  = "${each.key} from the cluster"
  security_group_id            = aws_security_group.stores.id
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "random_password" "database" {
  length  = 40
  special = false
}

resource "aws_db_subnet_group" "this" {
  name_prefix = "${local.short}-"
  subnet_ids  = var.subnet_ids
}

resource "aws_db_instance" "this" {
  identifier_prefix         = "${local.short}-"
  engine                    = "postgres"
  engine_version            = "16"
  instance_class            = var.database_instance_class
  allocated_storage         = var.database_gib
  max_allocated_storage     = 5 * var.database_gib
  storage_encrypted         = true
  db_name                   = "mlflow"
  username                  = "box"
  password                  = random_password.database.result
  db_subnet_group_name      = aws_db_subnet_group.this.name
  vpc_security_group_ids    = [aws_security_group.stores.id]
  publicly_accessible       = false
  backup_retention_period   = 7
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.name}-final"
}

resource "random_password" "redis" {
  length  = 40
  special = false
}

resource "aws_elasticache_subnet_group" "this" {
  name       = "${local.short}-online"
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id       = "${local.short}-online"
  description                = "Feast's online store"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = var.redis_node_type
  num_cache_clusters         = 1
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.stores.id]
  at_rest_encryption_enabled = true
  transit_encryption_enabled = true
  auth_token                 = random_password.redis.result
}

resource "aws_efs_file_system" "this" {
  creation_token = "${local.short}-data"
  encrypted      = true
}

resource "aws_efs_mount_target" "this" {
  count           = length(var.subnet_ids)
  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [aws_security_group.stores.id]
}
