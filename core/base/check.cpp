#include "core/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace gauntlet {

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: this is a bug in gauntlet: the rule `%s` is broken\n", file, line, expression);
  std::abort();
}

}  // namespace gauntlet
