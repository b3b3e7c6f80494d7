output "ids" {
  description = "Each key by purpose: data, secrets, backups, recovery."
  value       = { for purpose, key in google_kms_crypto_key.this : purpose => key.id }

  depends_on = [google_kms_crypto_key_iam_member.agent]
}
