dist_man_MANS += man/hyc.1 man/hycfs.1 man/hyc.5
