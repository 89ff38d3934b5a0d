import { type DynamicModule, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ThrottlerModule } from '@nestjs/throttler';
import { AccountsModule } from '../accounts/accounts.module.js';
import { BodyGuard } from '../common/http/bodies.js';
import { CallerTurnsGuard } from '../common/http/caller-turns.guard.js';
import { rateLimit, RateLimitGuard } from '../common/http/rate-limit.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { AccessGuard, NamedUserGuard } from './access.guard.js';
import { AuthenticationGuard } from './authentication.guard.js';
import { ApiKeyAuthenticator } from './api-key.authenticator.js';
import { ApiKeyLastUse } from './api-key-last-use.js';
import { JwtStrategy } from './jwt.strategy.js';
import { KnownTokens } from './known-tokens.js';
import { MeController } from './me.controller.js';
import { SignInController } from './sign-in.controller.js';
import { SignInService } from './sign-in.service.js';

/**
 * The global guards, in the order they run: who is calling, how often, whether they may, when it is their turn, what was
 * sent, and which user it is about, for whom a trusted service then waits its turn. What a caller may not do takes no turn,
 * and its body is not read: a turn lasts for as long as the body takes to come, so a key without permissions could otherwise
 * hold all turns of its owner.
 */
@Module({
  imports: [AccountsModule, ThrottlerModule.forRootAsync({ inject: [APP_CONFIG], useFactory: rateLimit })],
  providers: [
    KnownTokens,
    JwtStrategy,
    ApiKeyAuthenticator,
    ApiKeyLastUse,
    CallerTurnsGuard,
    { provide: APP_GUARD, useClass: AuthenticationGuard },
    { provide: APP_GUARD, useClass: RateLimitGuard },
    { provide: APP_GUARD, useClass: AccessGuard },
    { provide: APP_GUARD, useExisting: CallerTurnsGuard },
    { provide: APP_GUARD, useClass: BodyGuard },
    { provide: APP_GUARD, useClass: NamedUserGuard },
  ],
})
export class AuthModule {
  static forRoot({ signIn }: AppConfig): DynamicModule {
    return {
      module: AuthModule,
      controllers: [MeController, ...(signIn === undefined ? [] : [SignInController])],
      providers: signIn === undefined ? [] : [SignInService],
    };
  }
}
