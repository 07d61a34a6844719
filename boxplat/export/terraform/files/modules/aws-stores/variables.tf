variable "name" {
  description = "What the stores are called by."
  type        = string
}

variable "bucket" {
  description = "The bucket's name, unique in the world."
  type        = string
}

variable "components" {
  description = "Components that have an image."
  type        = list(string)
}

variable "vpc_id" {
  description = "The network of the cluster."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of that network."
  type        = list(string)
}

variable "client_security_group_id" {
  description = "Machines of this group reach the database and Redis; nobody else does."
  type        = string
}

variable "database_instance_class" {
  description = "The database's machine."
  type        = string
}

variable "database_gib" {
  description = "The database's disk; it grows to five times that."
  type        = number
}

variable "redis_node_type" {
  description = "Redis's machine; every online feature vector must fit in its memory."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the database refuses to be destroyed."
  type        = bool
  default     = true
}
