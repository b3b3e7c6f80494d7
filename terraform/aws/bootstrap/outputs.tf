output "backend_hcl" {
  description = "For environments/*/backend.hcl."
  value       = <<-HCL
    bucket     = "${aws_s3_bucket.state.id}"
    key        = "cloud.tfstate"
    region     = "${var.region}"
    kms_key_id = "${aws_kms_key.state.arn}"
  HCL
}

output "gitops_hcl" {
  description = "For environments/*/gitops/backend.hcl."
  value       = <<-HCL
    bucket     = "${aws_s3_bucket.state.id}"
    key        = "gitops.tfstate"
    region     = "${var.region}"
    kms_key_id = "${aws_kms_key.state.arn}"
  HCL
}

output "ci_identity" {
  description = "What CI signs in as."
  value       = aws_iam_role.ci.arn
}
