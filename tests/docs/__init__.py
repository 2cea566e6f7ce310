"""What the pages say is true: every fence is checked or executed, every link leads somewhere."""
