"""What applications are watched for, by whoever leads: a round compares what is measured with the rules of all of them."""
