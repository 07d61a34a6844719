variable "project" {
  description = "The project's name."
  type        = string
}

variable "namespace" {
  description = "The namespace of the export."
  type        = string
}

variable "google_project" {
  description = "Google's id of the project that pays."
  type        = string
}

variable "region" {
  description = "Google's region."
  type        = string
}

variable "location" {
  description = "That region, or a zone of it for a cluster of one zone."
  type        = string
}

variable "network" {
  description = "The name of an existing network with a connection for private services."
  type        = string
}

variable "subnetwork" {
  description = "A subnet of it."
  type        = string
}

variable "master_authorized_networks" {
  description = "Networks that may reach the cluster's API from outside."
  type        = list(string)
  default     = []
}

variable "bucket" {
  description = "The bucket's name, unique in the world."
  type        = string
}

variable "cpu_machine_type" {
  description = "Machines of the pool without GPUs."
  type        = string
}

variable "cpu_min" {
  description = "The fewest of them."
  type        = number
}

variable "cpu_max" {
  description = "The most of them."
  type        = number
}

variable "gpu_machine_type" {
  description = "Machines of the GPU pool; empty makes no such pool."
  type        = string
}

variable "gpu_type" {
  description = "The accelerator of these machines."
  type        = string
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

variable "database_tier" {
  description = "The database's machine."
  type        = string
}

variable "database_gib" {
  description = "The database's disk."
  type        = number
}

variable "redis_gib" {
  description = "Redis's memory."
  type        = number
}
