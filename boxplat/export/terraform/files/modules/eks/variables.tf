variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "kubernetes_version" {
  description = "The cluster's version, major and minor."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in two or more zones, with a way out to the registry and the storage."
  type        = list(string)
}

variable "public_access_cidrs" {
  description = "Networks that may reach the API from outside; none closes it to the outside."
  type        = list(string)
  default     = []
}

variable "cpu_instance_types" {
  description = "Machines of the pool without GPUs."
  type        = list(string)
}

variable "cpu_min" {
  description = "The fewest machines of the pool without GPUs: what runs always must fit."
  type        = number
}

variable "cpu_max" {
  description = "The most machines of the pool without GPUs."
  type        = number
}

variable "gpu_instance_types" {
  description = "Machines of the GPU pool; none makes no such pool."
  type        = list(string)
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
