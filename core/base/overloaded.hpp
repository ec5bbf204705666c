#pragma once

namespace gauntlet {

/// std::visit with one lambda per alternative; a missing alternative does not compile.
template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

}  // namespace gauntlet
