// Result<T>: a value or an Error; the only way the world's refusals travel.
#pragma once

#include <fmt/core.h>

#include <tl/expected.hpp>
#include <utility>

#include "core/base/error.hpp"

namespace gauntlet {

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

/// An Error ready to be returned from any function that returns a Result; arguments as for fmt::format.
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace gauntlet

#define GAUNTLET_CONCAT_(a, b) a##b
#define GAUNTLET_CONCAT(a, b) GAUNTLET_CONCAT_(a, b)

/// GAUNTLET_TRY(auto value, expression): the value, or returns the expression's error from this function.
#define GAUNTLET_TRY(declaration, ...) \
  GAUNTLET_TRY_(GAUNTLET_CONCAT(result_, __LINE__), declaration, __VA_ARGS__)
#define GAUNTLET_TRY_(result, declaration, ...)                         \
  auto result = (__VA_ARGS__);                                          \
  if (!result) return ::tl::make_unexpected(std::move(result.error())); \
  declaration = std::move(*result)

/// GAUNTLET_CHECK_OK(expression): returns the expression's error from this function, if there is one.
#define GAUNTLET_CHECK_OK(...)                                                              \
  do {                                                                                      \
    auto gauntlet_status = (__VA_ARGS__);                                                   \
    if (!gauntlet_status) return ::tl::make_unexpected(std::move(gauntlet_status.error())); \
  } while (false)
