"""The audit: two append-only logs, proofs that answers are complete, evidence that verifies offline."""
