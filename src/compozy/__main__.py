"""`python -m compozy`: the command line where its script is not installed."""

from compozy.cli.entry import main

if __name__ == "__main__":
    main()
