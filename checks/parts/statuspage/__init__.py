"""What vendors' status pages say."""
