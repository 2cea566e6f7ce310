"""`python -m compozy`: the command line where no script of it is installed."""

from compozy.cli.entry import main

if __name__ == "__main__":
    main()
