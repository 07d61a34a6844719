variable "project" {
  description = "The project's name."
  type        = string
}

variable "namespace" {
  description = "The namespace of the export."
  type        = string
}

variable "region" {
  description = "AWS's region."
  type        = string
}

variable "vpc_id" {
  description = "An existing network."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of it in two or more zones."
  type        = list(string)
}

variable "public_access_cidrs" {
  description = "Networks that may reach the cluster's API from outside."
  type        = list(string)
  default     = []
}

variable "kubernetes_version" {
  description = "The cluster's version."
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

variable "cpu_instance_types" {
  description = "Machines of the pool without GPUs."
  type        = list(string)
}

variable "cpu_min" {
  description = "The fewest of them."
  type        = number
}

variable "cpu_max" {
  description = "The most of them."
  type        = number
}

variable "gpu_instance_types" {
  description = "Machines of the GPU pool; none makes no such pool."
  type        = list(string)
}

variable "gpu_max" {
  description = "The most of them."
  type        = number
}

variable "gpu_spot" {
  description = "Whether GPU machines are bought at the spot price."
  type        = bool
}

variable "disk_gib" {
  description = "The disk of each machine."
  type        = number
}

variable "database_instance_class" {
  description = "The database's machine."
  type        = string
}

variable "database_gib" {
  description = "The database's disk."
  type        = number
}

variable "redis_node_type" {
  description = "Redis's machine."
  type        = string
}
