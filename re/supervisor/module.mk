programs += vc-re
vc-re-src := re/supervisor/main.c re/supervisor/daemons.c
vc-re-use := firmware
vc-re-pkg := glib seccomp
