variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "location" {
  description = "A region, or a zone for a cluster of one zone."
  type        = string
}

variable "network" {
  description = "An existing network."
  type        = string
}

variable "subnetwork" {
  description = "A subnet of it in the region."
  type        = string
}

variable "master_authorized_networks" {
  description = "Networks that may reach the API from outside."
  type        = list(string)
  default     = []
}

variable "cpu_machine_type" {
  description = "Machines of the pool without GPUs."
  type        = string
}

variable "cpu_min" {
  description = "The fewest machines of the pool without GPUs: what runs always must fit."
  type        = number
}

variable "cpu_max" {
  description = "The most machines of the pool without GPUs."
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
  description = "The most machines of the GPU pool; the fewest is none."
  type        = number
}

variable "gpu_spot" {
  description = "Whether GPU machines are bought at the spot price, and may be taken away."
  type        = bool
}

variable "disk_gib" {
  description = "The disk of each machine: images and what steps write."
  type        = number
}

variable "deletion_protection" {
  description = "Whether the cluster refuses to be destroyed."
  type        = bool
  default     = true
}
