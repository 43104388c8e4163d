"""What touches the machine: files, images, archives, the web, processors."""
