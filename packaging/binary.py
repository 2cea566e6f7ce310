"""Where the one-file program begins. In a container that was started as root it first becomes somebody else."""

from compozy.cli.rights import give_up_root

if __name__ == "__main__":
    give_up_root()
    from compozy.cli.entry import main

    main()
