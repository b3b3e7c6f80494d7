output "tidemark" {
  description = "Everything that the stack says about itself; see outputs.tf of the stack."
  value       = module.tidemark
}
