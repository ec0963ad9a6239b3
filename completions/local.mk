bashcompletiondir = $(datarootdir)/bash-completion/completions
dist_bashcompletion_DATA = completions/hyc completions/hycfs
