// What a test may not expect under ThreadSanitizer.
#pragma once

namespace gauntlet::testing_support {

/// vfork(2) is a fork there, so a child that does not become its program cannot tell its parent why
/// (core/base/child.cpp).
#ifdef __SANITIZE_THREAD__
inline constexpr bool kForksInsteadOfVfork = true;
#else
inline constexpr bool kForksInsteadOfVfork = false;
#endif

/// A process has several times the memory that its program asks for.
inline constexpr bool kMemoryIsMultiplied = kForksInsteadOfVfork;

}  // namespace gauntlet::testing_support
