"""What the stage `visualise` computes: maps, synthesised images, and studies of many images."""
