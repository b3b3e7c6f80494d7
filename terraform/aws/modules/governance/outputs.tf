output "detector_id" {
  description = "GuardDuty detector."
  value       = aws_guardduty_detector.this.id
}
