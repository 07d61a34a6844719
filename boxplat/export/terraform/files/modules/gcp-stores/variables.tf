variable "name" {
  description = "What the stores are called by."
  type        = string
}

variable "region" {
  description = "Where they are."
  type        = string
}

variable "network_id" {
  description = "The cluster's network, which has a connection for private services."
  type        = string
}

variable "bucket" {
  description = "The bucket's name, unique in the world."
  type        = string
}

variable "database_tier" {
  description = "The database's machine."
  type        = string
}

variable "database_gib" {
  description = "The database's disk; it grows by need."
  type        = number
}

variable "redis_gib" {
  description = "Redis's memory; every online feature vector must fit in it."
  type        = number
}

variable "deletion_protection" {
  description = "Whether the database refuses to be destroyed."
  type        = bool
  default     = true
}
