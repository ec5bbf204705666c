# The project's warnings, as an interface target; GAUNTLET_WERROR makes them errors.
add_library(gauntlet_warnings INTERFACE)
target_compile_options(gauntlet_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum -Wnon-virtual-dtor)
if(GAUNTLET_WERROR)
  target_compile_options(gauntlet_warnings INTERFACE -Werror)
endif()
