"""Where the one-file program begins. In a container that was started as root it first becomes somebody else."""

from compozy.cli.privileges import drop_privileges

if __name__ == "__main__":
    drop_privileges()
    from compozy.cli.entry import main

    main()
