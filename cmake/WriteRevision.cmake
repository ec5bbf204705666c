# Writes OUTPUT with the git revision of SOURCE_DIR, and only when it changed, so that nothing is rebuilt for nothing.
execute_process(COMMAND git -C "${SOURCE_DIR}" rev-parse --short=12 HEAD OUTPUT_VARIABLE revision
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(revision "unknown")
else()
  execute_process(COMMAND git -C "${SOURCE_DIR}" diff --quiet HEAD RESULT_VARIABLE changed ERROR_QUIET)
  if(changed)
    string(APPEND revision "+changes")
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "core/base/version.hpp"

namespace gauntlet {

std::string_view version() { return "@VERSION@"; }
std::string_view revision() { return "@revision@"; }

}  // namespace gauntlet
]] @ONLY)
