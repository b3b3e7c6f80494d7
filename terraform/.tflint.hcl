config {
  call_module_type = "none"
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Inputs that all clouds share are in inputs.tf, and module product takes none: the rule knows one layout only.
rule "terraform_standard_module_structure" {
  enabled = false
}
